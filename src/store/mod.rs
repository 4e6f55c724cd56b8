//! PostgreSQL and blobs: the only room with SQL.
