//! Self-contained HTML reports and tables.
