"""What is made of a result: errors against a reference, pictures, files, the record of a run."""
