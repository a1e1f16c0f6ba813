"""Environments for pipeline files that say by PEP 723 what they need; made by uv, once a user has agreed."""
