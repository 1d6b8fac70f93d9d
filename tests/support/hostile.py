"""Names that try to leave their folder, their line or their field."""

HOSTILE_NAMES = [
    "../x",
    "..",
    ".",
    "a/b",
    "a\\b",
    "%2e",
    "a%20b",
    "~root",
    "🐧🐧",
    "👩‍🔬",
    "Terre Adélie",
    "$(reboot)",
    "a;b&c|d",
    "<script>alert(1)</script>",
    "CON",
    "-rf",
    "()",
    "'; DROP TABLE sites; --",
    "x" * 300,
    "é" * 300,
]
