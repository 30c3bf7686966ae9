"""What the image is made of: told, looked at for its licences, and asked about."""
