"""Files of a head for mesh tools and 3D programs; `write_head` is the door."""
