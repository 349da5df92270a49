"""The dashboard: pages made on the server; scripts only make them live."""
