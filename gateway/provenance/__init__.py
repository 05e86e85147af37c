"""Where a picture of ours came from, told three times: Content Credentials, an invisible watermark, a fingerprint."""
