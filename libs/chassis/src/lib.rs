//! What a service process needs: configuration, server, context, status, shutdown.
