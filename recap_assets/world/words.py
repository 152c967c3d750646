"""The vocabulary of the raw alt-text: synonyms, names and templates. Data only.

Blanks: `{subject}` and `{where}` are filled from the scene, all others at random (texts.py).
"""

COLOUR_SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "crimson", "scarlet", "ruby", "cherry red", "vermilion"),
    "yellow": ("yellow", "yellow", "golden", "lemon", "canary yellow", "mustard", "saffron"),
    "green": ("green", "green", "emerald", "olive", "forest green", "jade", "lime"),
    "blue": ("blue", "blue", "navy", "azure", "cobalt", "royal blue", "sapphire"),
    "teal": ("teal", "teal", "turquoise", "cyan", "aqua", "aquamarine"),
    "purple": ("purple", "purple", "violet", "plum", "lilac", "amethyst"),
    "pink": ("pink", "pink", "rose", "blush", "salmon pink", "fuchsia", "bubblegum"),
    "brown": ("brown", "brown", "chestnut", "chocolate", "walnut", "mahogany", "bronze"),
    "grey": ("grey", "grey", "gray", "silver", "slate", "charcoal", "ash"),
}

TEXTURE_SYNONYMS: dict[str, tuple[str, ...]] = {
    "striped": ("striped", "stripy", "pinstripe", "banded"),
    "spotted": ("spotted", "polka dot", "dotted", "speckled"),
}

WHERE: dict[str, tuple[str, ...]] = {
    "meadow": ("in a meadow", "on the grass", "in a green field", "on the lawn", "in a pasture"),
    "beach": ("on a beach", "on the sand", "at the seaside", "on the dunes", "on the shore"),
    "snow": ("in the snow", "on a snowy day", "in winter", "in a snowfall"),
    "street": ("by a brick wall", "in an alley", "on a street", "in the old town", "downtown"),
    "lake": ("on a lake", "on the water", "by the pond", "above the waves", "on calm water"),
    "night": ("in the night sky", "at night", "under the stars", "after dark", "at midnight"),
}

BACKGROUND_SYNONYMS: dict[str, tuple[str, ...]] = {
    "meadow": ("meadow", "grass", "green field", "lawn", "pasture"),
    "beach": ("beach", "sand", "seaside", "dunes", "shore"),
    "snow": ("snow", "winter", "snowfall", "frost"),
    "street": ("brick wall", "alley", "street", "pavement", "town"),
    "lake": ("lake", "water", "pond", "waves"),
    "night": ("night sky", "stars", "night", "midnight"),
}

LINKS: dict[str, tuple[str, ...]] = {
    "left": ("left of", "to the left of", "next to", "beside"),
    "right": ("right of", "to the right of", "next to", "beside"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}

MANY = ("group of", "several", "many", "bunch of", "lots of", "collection of", "set of")

RICH_TEMPLATES = (
    "{subject} {where}",
    "{subject} {where}, {place} {year}",
    "{subject} {where} - {adjective} stock photo",
    "stock photo of {subject} {where}",
    "{brand} {subject} {where}",
    "{adjective} {subject} {where} near {place}",
    "{adjective} {subject} {where} by {person} {family}",
    "{subject} {where}, {medium} by {person} {family}",
    "{medium} of {subject} {where}",
    "{adjective} {medium} with {subject} {where}",
    "{subject} {where}, {event} in {place}",
    "{person}'s {subject} {where}, {month} {year}",
    "my {subject} {where} on {month} {day}",
    "the {adjective} {subject} {where} | {brand}",
    "{brand} {subject} {code} {where}",
    "vintage {subject} {where}, {year}",
    "{subject} {where} (photo: {person} {family})",
    "{place}: {subject} {where}",
    "royalty free {medium}: {subject} {where}",
    "{year} {brand} {subject} {where}",
)

BACKGROUND_TEMPLATES = (
    "{adjective} {subject} {medium}",
    "{adjective} {subject} near {place}, {year}",
    "{subject}, {month} {year}",
    "view of the {subject} in {place}",
    "{adjective} {subject} background",
    "{subject} landscape by {person} {family}",
    "walk along the {subject}, {event}",
)

SHOP_TEMPLATES = (
    "buy {adjective} {subject} online at {brand}",
    "{adjective} {subject} for sale in {place}, {month} {year}",
    "{brand} {subject} {code}",
    "{subject} {medium} - free shipping to {place}",
    "new {subject} {year} | {brand} shop",
    "cheap {subject} from {place}",
    "{adjective} {subject} gift idea for the {event}",
    "{adjective} {subject} {medium} by {person} {family}",
    "best {subject} of {year}",
    "{brand} {adjective} {subject} size {d2}",
    "{subject} accessories and spare parts",
    "{person} {family} with {subject} in {place}",
    "{subject} at the {event} in {place}",
)

NONDESCRIPT_TEMPLATES = (
    "IMG_{d4}.jpg",
    "IMG_{d4}.JPG",
    "DSC{d6}.jpg",
    "DSCN{d4}",
    "P10{d6}.JPG",
    "image{d2}.png",
    "photo {d1}",
    "{hex}.jpg",
    "screenshot {year}-0{d1}-1{d1}",
    "{month} {day}, {year}",
    "{day} {month} {year}",
    "{person} {family}",
    "{person}",
    "{family} {year}",
    "thumbnail {d2}",
    "untitled-{d1}",
    "WhatsApp Image {year}-0{d1}-2{d1}",
    "scan_{d4}_{d2}.jpg",
)

BOILERPLATE = (
    "click to enlarge",
    "click here to view the larger image",
    "image not available",
    "advertisement",
    "loading, please wait",
    "share this on social media",
    "read more about {brand}",
    "follow {brand} for weekly offers",
    "subscribe to our newsletter",
    "copyright {year} {brand}, all rights reserved",
    "previous slide next slide",
    "{d2}% off this {month} only",
    "sign in to see the price",
    "profile picture of {person}",
    "Bild vergrößern",
    "Versandkostenfrei ab {d2} Euro",
    "Angebote der Woche bei {brand}",
    "jetzt günstig kaufen",
    "cliquez pour agrandir",
    "livraison gratuite à {place}",
    "photo de l'article",
    "haga clic para ampliar",
    "imagen no disponible",
    "envío gratis en {month}",
    "画像を拡大する",
    "点击查看大图",
    "нажмите, чтобы увеличить",
    "immagine del prodotto",
)

BRANDS = tuple(
    first + last
    for first in (
        "Vel",
        "Kan",
        "Nor",
        "Bri",
        "Tal",
        "Mer",
        "Zan",
        "Lum",
        "Ost",
        "Pel",
        "Quo",
        "Ryd",
    )
    for last in ("ora", "teco", "wick", "dale", "mark", "ia", "ux", "sen")
)

TOWNS = (
    "Lisbon", "Porto", "Madrid", "Seville", "Paris", "Lyon", "Nice", "Berlin", "Hamburg",
    "Munich", "Vienna", "Prague", "Krakow", "Warsaw", "Budapest", "Athens", "Rome", "Milan",
    "Venice", "Naples", "London", "Bristol", "Leeds", "Dublin", "Oslo", "Bergen", "Stockholm",
    "Helsinki", "Tallinn", "Riga", "Istanbul", "Ankara", "Cairo", "Tunis", "Nairobi", "Lagos",
    "Accra", "Mumbai", "Delhi", "Lahore", "Bangkok", "Hanoi", "Manila", "Jakarta", "Seoul",
    "Busan", "Tokyo", "Osaka", "Kyoto", "Sydney", "Perth", "Auckland", "Lima", "Quito", "Bogota",
    "Santiago", "Toronto", "Montreal", "Boston", "Chicago", "Denver", "Seattle", "Portland",
    "Austin", "Memphis", "Havana",
)  # fmt: skip

FIRST_NAMES = (
    "Anna", "Ben", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Kira",
    "Leo", "Maria", "Nils", "Olga", "Pablo", "Quentin", "Rita", "Samuel", "Tara", "Uma", "Victor",
    "Wanda", "Xenia", "Yusuf", "Zoe", "Amir", "Bianca", "Chen", "Dora", "Emil", "Fatima", "Goran",
    "Hana", "Igor", "Julia", "Kenji", "Laura", "Marco", "Nadia",
)  # fmt: skip

FAMILY_NAMES = (
    "Abbott", "Berger", "Costa", "Dietrich", "Evans", "Fischer", "Garcia", "Hoffman", "Ivanov",
    "Jensen", "Keller", "Lindberg", "Moreau", "Novak", "Okafor", "Petrov", "Quinn", "Rossi",
    "Schmidt", "Tanaka", "Urban", "Vargas", "Weber", "Yamada", "Zimmer", "Almeida", "Baker",
    "Carter", "Duarte", "Eriksen", "Fontaine", "Gupta", "Harris", "Kowalski", "Larsen", "Murphy",
)  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

ADJECTIVES = (
    "beautiful", "lovely", "handmade", "antique", "modern", "tiny", "giant", "cute", "elegant",
    "rustic", "classic", "colourful", "cheerful", "old", "charming", "luxury", "wooden", "shiny",
    "funny", "famous", "lonely", "pretty", "amazing", "original", "traditional", "personalised",
    "cool", "cosy", "decorative", "premium", "adorable", "stunning", "quirky", "festive", "retro",
    "bold", "gorgeous", "fancy", "simple", "perfect",
)  # fmt: skip

MEDIA = (
    "print", "poster", "wallpaper", "illustration", "clipart", "postcard", "calendar", "sticker",
    "drawing", "painting", "vector icon", "greeting card", "canvas", "logo", "embroidery pattern",
    "scrapbook page", "cartoon", "sketch", "watercolour", "mural", "magnet", "badge", "puzzle",
    "cushion cover", "phone case", "tattoo design", "photograph", "mosaic", "banner", "stamp",
)  # fmt: skip

EVENTS = (
    "summer festival", "county fair", "wedding", "birthday party", "exhibition", "parade",
    "auction",
    "farmers market", "school trip", "holiday", "regatta", "carnival", "picnic", "charity run",
    "garden show", "family reunion", "workshop", "museum visit", "jubilee", "contest",
)  # fmt: skip

PLAIN_NOUNS = (
    "accessories", "advertisement", "alley", "aqua", "ash", "background", "beach", "bunch",
    "charcoal", "cherry", "chestnut", "chocolate", "collection", "copyright", "dark", "day",
    "dot", "dunes", "emerald", "euro", "field", "forest", "frost", "gift", "grass", "group", "idea",
    "image", "item", "jade", "lake", "landscape", "lawn", "left", "lemon", "lots", "mahogany",
    "meadow", "media", "midnight", "mustard", "navy", "newsletter", "night", "offers", "page",
    "parts", "pasture", "pavement", "photo", "picture", "pinstripe", "plum", "pond", "price",
    "profile", "right", "rights", "rose", "ruby", "saffron", "sale", "salmon", "sand", "sapphire",
    "screenshot", "seaside", "set", "shipping", "shop", "shore", "size", "sky", "slate", "slide",
    "snow", "snowfall", "stars", "stock", "street", "thing", "things", "thumbnail", "top", "town",
    "view", "walk", "wall", "walnut", "water", "waves", "winter", "brick",
)  # fmt: skip
"""Common nouns of the templates and the clean captions, beside the names of classes."""
