//! Feature `testing`: toy engines, cheats and a small world to run sessions in. Never in a daemon meant for money.
