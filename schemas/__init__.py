"""The contract with everybody else: records, their bytes, and their schemas."""
