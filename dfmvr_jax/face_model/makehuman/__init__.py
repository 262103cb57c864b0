"""How the built-in face model is made from MakeHuman's CC0 data; `build_builtin` puts it together."""
