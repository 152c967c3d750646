"""Ways to damage a file: bytes changed, cut out or put in, and its end cut off."""

from collections.abc import Callable

from hypothesis import strategies as st

Damage = Callable[[bytes], bytes]


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Up to four changes at random places; none at all is one of them."""
    edits = draw(
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8)), max_size=4)
    )

    def damage(content: bytes) -> bytes:
        for share, n_removed, added in edits:
            at = int(share * len(content))
            content = content[:at] + added + content[at + n_removed :]
        return content

    return damage
