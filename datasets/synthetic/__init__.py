"""The data set `synthetic`: faces rendered from a 3D face model, with everything about them known exactly.

It lets the whole of the software run, train and be measured where no other data is at hand. Its faces are
not real people: numbers measured on it say nothing about real photos.
"""
