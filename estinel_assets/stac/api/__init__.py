"""The embedded STAC API: stac-fastapi in front of one SQLite file.

It knows STAC and nothing of any mission. From the bottom up:

- `database`: the file, its tables, its connections;
- `geometry`: footprints on the globe, folded at ±180°;
- `documents`: how an item's JSON is kept and given out;
- `parameters`: what a client asked for, checked;
- `instants`, `filters`: times, and CQL2 filters as conditions of SQL;
- `search`: the SQL of a search, its order and its page tokens;
- `rows`: collections and items as rows of the tables;
- `items`: the repository that reads and writes collections and items;
- `client`, `transactions`, `access`, `assembly`: the endpoints that read and those that write, who
  may write, and the application: the only part on stac-fastapi;
- `app`, `server`: building it, and running it.
"""
