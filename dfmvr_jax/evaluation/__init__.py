"""How near a reconstructed face is to the scan of that face: registration, distances, pictures, reports."""
