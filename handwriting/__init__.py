"""Reading handwriting: from paper (`page`), and from strokes drawn in a notebook (`pad`)."""
