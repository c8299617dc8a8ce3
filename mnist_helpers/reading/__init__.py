"""Other people's files → digits: pictures of any kind, tables, folders; and what a network reads in them."""
