"""What are they sending, what came back: detectors that read prompts and pictures and tell findings.

Detectors never decide. They say what stands where; policy answers. See `facade.Screening` for the door.
"""
