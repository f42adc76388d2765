//! The tax service of Counterfoil.
