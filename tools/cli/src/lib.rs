//! The operator's command line, counterfoil.
