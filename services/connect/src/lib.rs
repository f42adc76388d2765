//! The connect service of Counterfoil.
