//! functions/migrate
