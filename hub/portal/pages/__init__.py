"""The pages: handlers of a few lines over the view models."""
