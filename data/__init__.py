"""What a survey is on disk: catalogues, cutouts, preprocessing, shards, and a simulated survey."""
