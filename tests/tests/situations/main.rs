//! Situations: what a cluster of machines does when something goes wrong, one file a situation, in a made-up world.

mod database_killed;
mod random_faults;
