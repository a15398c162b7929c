"""The Keystay server."""
