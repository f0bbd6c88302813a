"""The page of ``ldmbench demo``: one sound at a time through systems of the bench, heard before a run is queued."""
