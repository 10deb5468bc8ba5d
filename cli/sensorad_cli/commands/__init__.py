"""One module per command; each holds one `click` command named ``command``."""

__all__: list[str] = []
