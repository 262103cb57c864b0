"""The program `dfmvr-reconstruct`, run from a clone."""

from dfmvr_jax.commands.reconstruct import main

if __name__ == "__main__":
    main()
