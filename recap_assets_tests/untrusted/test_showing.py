from recap_assets.untrusted.showing import cleaned, one_line


def test_no_control_character_is_shown_as_such():
    assert one_line("a\x1b[31mred\x07\n b\u202e") == "a\\x1b[31mred\\x07 b\\u202e"
    assert cleaned("two\nlines\r") == "two\nlines "


def test_what_is_long_is_cut_and_says_so():
    assert one_line("x" * 30, limit=10) == "xxxxxxxxxx… (30 characters)"
