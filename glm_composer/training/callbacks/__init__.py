"""Composer callbacks. Those registered by name can be asked for in a yaml's `callbacks` section."""
