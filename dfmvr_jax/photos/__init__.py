"""The user's photos: reading them and their landmarks, and cutting out the face as the networks expect it."""
