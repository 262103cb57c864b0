"""The program `dfmvr-evaluate`, run from a clone."""

from dfmvr_jax.commands.evaluate import main

if __name__ == "__main__":
    main()
