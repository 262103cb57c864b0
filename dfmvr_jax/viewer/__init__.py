"""Pages to look at heads in a browser, offline: `write_view` for one, `write_index` for many."""
