"""Data sets and how they reach the training.

- `datasets.synthetic`: a TFDS data set of faces rendered from the 3D face model, with exact labels.
- `datasets.photo_sets`: TFDS data sets of real photos, prepared by `datasets.prepare`.
- `datasets.pipeline`: open, shuffle, augment and batch a data set (grain).
- `datasets.augmentation`: colour jitter, blur and dropping of views.
- `datasets.show`: a contact sheet of a data set, to see whether it was prepared right.

Arrays keep to docs/conventions.md. TensorFlow is never imported.
"""
