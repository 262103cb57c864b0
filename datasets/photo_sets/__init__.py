"""Data sets of real photos, one file each: which folders and files are expected, and what is read of them.

All go the same way: a set lists its `Sample`s (`PhotoSet.find_samples`), each is prepared on its own by
`examples.make_example` (faces and landmarks found, crops cut out, scans and labels read), what will not do is
left out with its reason, and what is left is written as a TFDS data set (`builder`).
"""
