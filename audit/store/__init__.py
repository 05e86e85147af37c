"""Where records lie: what every store shares is here, the stores themselves are ``files`` and ``postgres``."""
