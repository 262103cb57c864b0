"""The program `dfmvr-train`, run from a clone."""

from dfmvr_jax.commands.train import main

if __name__ == "__main__":
    main()
