"""What each part of the model adds to an answer directly."""
