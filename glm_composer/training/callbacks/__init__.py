"""Composer callbacks; a yaml's `callbacks` section asks for those registered by name."""
