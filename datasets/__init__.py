"""Data sets and how they reach the training.

- `synthetic`: a TFDS data set of faces rendered from the 3D face model, with exact labels.
- `photo_sets`: TFDS data sets of real photos.
- `pipeline`: open, shuffle, augment and batch a data set (grain).
- `augmentation`: colour jitter, blur and dropping of views.
- `prepare`, `show`, `export`: programs that prepare a data set, draw it, and write a subject of it as files.

Import it as `dfmvr_jax.datasets`; in a clone `python -m datasets.prepare` works too.

Arrays keep to docs/conventions.md. TensorFlow is never imported.
"""
