//! Operations, and what of them is atomic.

use std::collections::BTreeMap;

use counterfoil_chassis::{Context, etag};
use counterfoil_store::audit;
use counterfoil_store::claim::{Begun, Claim};
use counterfoil_store::page::Page;
use diesel_async::AsyncPgConnection;

use super::error::Error;
use super::store::{self, Position, Specimen};
use super::{Specimens, pb};

/// How many specimens a user may have.
const SHELF: i64 = 1_000;

/// What a specimen is made of.
pub(super) struct NewSpecimen {
    pub(super) user_id: String,
    pub(super) title: String,
    pub(super) return_url: String,
    pub(super) account_number: String,
    pub(super) metadata: BTreeMap<String, String>,
}

/// What is to become of a specimen; `None` stays as it is.
pub(super) struct Change {
    pub(super) specimen_id: String,
    /// The state that the caller has seen; empty for whichever.
    pub(super) etag: String,
    pub(super) title: Option<String>,
    pub(super) return_url: Option<String>,
    pub(super) account_number: Option<String>,
    pub(super) metadata: Option<BTreeMap<String, String>>,
}

impl Specimens {
    /// A specimen.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn get_specimen(&self, id: &str) -> Result<Specimen, Error> {
        let found = store::find(&mut *self.db.conn().await?, id).await?;
        found.ok_or_else(|| Error::NotFound(id.to_owned()))
    }

    /// A page of a user's specimens, newest first; and the position to go on from where there are more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn list_specimens(
        &self,
        user_id: &str,
        title: &str,
        page: Page<Position>,
    ) -> Result<(Vec<Specimen>, Option<Position>), Error> {
        let conn = &mut self.db.conn().await?;
        let read = store::list_of_user(conn, user_id, title, page.rows(), page.after.clone()).await?;
        Ok(page.cut(read, Specimen::position))
    }

    /// A new specimen, once per key. Its id is made of the claim's, so that whoever takes the claim over makes the same.
    ///
    /// # Errors
    /// When the user has too many.
    pub(super) async fn create_specimen(&self, cx: &Context, new: NewSpecimen) -> Result<Specimen, Error> {
        let operation = cx.operation()?;
        let specimen = Specimen {
            specimen_id: format!("spec_{}", operation.claim_id().simple()),
            user_id: new.user_id,
            title: new.title,
            return_url: new.return_url,
            account_number: new.account_number,
            metadata: new.metadata,
            created_at: self.clock.now(),
        };
        if cx.validate_only {
            self.db.rehearse(async |conn| insert(conn, &specimen).await).await?;
            return Ok(specimen);
        }
        let claim = match self.claims.begin::<String>(&operation, cx.remaining()).await? {
            Begun::Finished(id) => return self.get_specimen(&id).await,
            Begun::Owned(claim) => claim,
        };
        let done = self.db.transaction(async |conn| {
            insert(conn, &specimen).await?;
            Ok::<_, Error>(claim.finish(conn, &specimen.specimen_id).await?)
        });
        let done = done.await;
        self.kept(&claim, done).await?;
        Ok(specimen)
    }

    /// A specimen with other values, once per key.
    ///
    /// # Errors
    /// When there is none, or it is not in the state that the caller has seen.
    pub(super) async fn update_specimen(&self, cx: &Context, change: &Change) -> Result<Specimen, Error> {
        if cx.validate_only {
            return self.db.rehearse(async |conn| apply(conn, change).await).await;
        }
        let operation = cx.operation()?;
        let claim = match self.claims.begin::<String>(&operation, cx.remaining()).await? {
            Begun::Finished(id) => return self.get_specimen(&id).await,
            Begun::Owned(claim) => claim,
        };
        let done = self.db.transaction(async |conn| {
            let specimen = apply(conn, change).await?;
            claim.finish(conn, &specimen.specimen_id).await?;
            Ok::<_, Error>(specimen)
        });
        let done = done.await;
        self.kept(&claim, done).await
    }

    /// Deletes a specimen, once per key, and leaves an audit row.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn delete_specimen(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let operation = cx.operation()?;
        let claim = match self.claims.begin::<()>(&operation, cx.remaining()).await? {
            Begun::Finished(()) => return Ok(()),
            Begun::Owned(claim) => claim,
        };
        let done = self.db.transaction(async |conn| {
            if !store::delete(conn, id).await? {
                return Err(Error::NotFound(id.to_owned()));
            }
            audit::record(conn, &cx.audit("specimen", id, "deleted")).await?;
            Ok(claim.finish(conn, &()).await?)
        });
        let done = done.await;
        self.kept(&claim, done).await
    }

    /// Gives the claim back where its one transaction did not happen: nothing did, and the key may be used again.
    async fn kept<T>(&self, claim: &Claim, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_err() {
            claim.release(&self.db).await?;
        }
        done
    }
}

async fn insert(conn: &mut AsyncPgConnection, specimen: &Specimen) -> Result<(), Error> {
    if store::count_of_user(conn, &specimen.user_id).await? >= SHELF {
        return Err(Error::ShelfFull(specimen.user_id.clone()));
    }
    Ok(store::insert(conn, specimen).await?)
}

async fn apply(conn: &mut AsyncPgConnection, change: &Change) -> Result<Specimen, Error> {
    let id = &change.specimen_id;
    let found = store::lock(conn, id).await?;
    let mut specimen = found.ok_or_else(|| Error::NotFound(id.clone()))?;
    let seen = pb::Specimen::from(specimen.clone()).etag;
    etag::check(&change.etag, &seen).map_err(|_| Error::Changed(id.clone()))?;
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut specimen.title, &change.title);
    set(&mut specimen.return_url, &change.return_url);
    set(&mut specimen.account_number, &change.account_number);
    if let Some(metadata) = &change.metadata {
        specimen.metadata.clone_from(metadata);
    }
    store::update(conn, &specimen).await?;
    Ok(specimen)
}
