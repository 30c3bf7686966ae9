"""The documents that are made from the code: the API's, its examples, and the metrics'."""
