"""What waits for another try: how it travels, where it is put, how it is read again."""
