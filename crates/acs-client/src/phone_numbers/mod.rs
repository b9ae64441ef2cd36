//! Phone Numbers: what the resource owns, what can be had, and buying, changing, giving up.

mod types;

use serde::{Deserialize, Serialize};

pub use types::{
    AssignmentType, BillingFrequency, Capabilities, Capability, Cost, NumberType, PurchasedNumber,
    Search, SearchResult,
};

use crate::client::Client;
use crate::error::Error;
use crate::exchange::{Exchange, Repeatability, encoded};
use crate::operation::Operation;

/// The version of the interface that is spoken.
pub const API_VERSION: &str = "2025-06-01";
/// Numbers a page.
const PAGE: u32 = 100;
/// Pages that are read at most: a list that has more is not a list.
const PAGES: usize = 1000;

/// The request for a page of the numbers owned, `skip` numbers on.
#[must_use]
pub fn list(skip: u32, top: u32) -> Exchange {
    Exchange::get(format!(
        "/phoneNumbers?skip={skip}&top={top}&api-version={API_VERSION}"
    ))
}

/// The request for one number owned.
#[must_use]
pub fn get(number: &str) -> Exchange {
    Exchange::get(of_number(number, ""))
}

/// The request that starts a search in a country (ISO 3166, two letters).
#[must_use]
pub fn search(country: &str, search: &Search) -> Exchange {
    let country = encoded(country);
    let target =
        format!("/availablePhoneNumbers/countries/{country}/:search?api-version={API_VERSION}");
    Exchange::post(target, search)
}

/// The request for the result of a search.
#[must_use]
pub fn search_result(search: &str) -> Exchange {
    let search = encoded(search);
    Exchange::get(format!(
        "/availablePhoneNumbers/searchResults/{search}?api-version={API_VERSION}"
    ))
}

/// The request that buys what a search found.
#[must_use]
pub fn purchase(search: &str, agree_to_not_resell: bool) -> Exchange {
    let target = format!("/availablePhoneNumbers/:purchase?api-version={API_VERSION}");
    let order = Order {
        search_id: search,
        agree_to_not_resell,
    };
    Exchange::post(target, &order)
}

/// The request that changes what a number is for.
#[must_use]
pub fn update_capabilities(number: &str, capabilities: Capabilities) -> Exchange {
    Exchange::patch(of_number(number, "/capabilities"), &capabilities)
}

/// The request that gives a number up.
#[must_use]
pub fn release(number: &str) -> Exchange {
    Exchange::delete(of_number(number, ""))
}

/// The request for a long-running operation.
#[must_use]
pub fn operation(id: &str) -> Exchange {
    Exchange::get(of_operation(id))
}

/// The request that cancels one.
#[must_use]
pub fn cancel(id: &str) -> Exchange {
    Exchange::delete(of_operation(id))
}

fn of_operation(id: &str) -> String {
    let id = encoded(id);
    format!("/phoneNumbers/operations/{id}?api-version={API_VERSION}")
}

fn of_number(number: &str, what: &str) -> String {
    let number = encoded(number);
    format!("/phoneNumbers/{number}{what}?api-version={API_VERSION}")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    search_id: &'a str,
    agree_to_not_resell: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    phone_numbers: Vec<PurchasedNumber>,
    #[serde(default)]
    next_link: Option<String>,
}

/// Told of a long-running operation when Azure took it and at each look at it.
pub type Progress<'a> = &'a mut (dyn FnMut(&Operation) + Send);

impl Client {
    /// Every number the resource owns, page by page.
    ///
    /// # Errors
    /// [`Error`]; a half list is never given.
    pub async fn purchased_numbers(&self) -> Result<Vec<PurchasedNumber>, Error> {
        let mut numbers = Vec::new();
        let mut next = list(0, PAGE);
        for _ in 0..PAGES {
            let page: Page = self.read(&next).await?;
            numbers.extend(page.phone_numbers);
            match page.next_link.filter(|link| !link.is_empty()) {
                Some(link) => next = Exchange::get(self.own_target(&link)?),
                None => return Ok(numbers),
            }
        }
        Err(self.garbled("the list does not end"))
    }

    /// One number the resource owns.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFound`] where it does not own it.
    pub async fn purchased_number(&self, number: &str) -> Result<PurchasedNumber, Error> {
        self.read(&get(number)).await
    }

    /// Searches numbers that can be had; Azure keeps them for some minutes.
    ///
    /// # Errors
    /// [`Error`]; [`Error::GivenUp`] where there are none.
    pub async fn search_numbers(
        &self,
        country: &str,
        wanted: &Search,
        progress: Progress<'_>,
    ) -> Result<SearchResult, Error> {
        let received = self.send(&search(country, wanted)).await?;
        let started = self.started(&received)?;
        let result = self.finished(started, progress).await?;
        let target = result.ok_or_else(|| self.garbled("the search names no result"))?;
        self.read(&Exchange::get(target)).await
    }

    /// What a search found, as long as Azure keeps it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFound`] where there is no such search.
    pub async fn search_result(&self, search: &str) -> Result<SearchResult, Error> {
        self.read(&search_result(search)).await
    }

    /// Buys what a search found. However often it is sent with the same `repeatability`, it is one
    /// purchase.
    ///
    /// # Errors
    /// [`Error`]; where [`Error::is_outcome_unknown`], the list of numbers owned tells.
    pub async fn purchase_numbers(
        &self,
        search: &str,
        agree_to_not_resell: bool,
        repeatability: Repeatability,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let exchange = purchase(search, agree_to_not_resell);
        let received = self.send_as(&exchange, repeatability).await?;
        let started = self.started(&received)?;
        self.finished(started, progress).await.map(drop)
    }

    /// Changes what a number is for, and gives the number as it is then.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn update_number(
        &self,
        number: &str,
        capabilities: Capabilities,
        progress: Progress<'_>,
    ) -> Result<PurchasedNumber, Error> {
        let exchange = update_capabilities(number, capabilities);
        let received = self.send(&exchange).await?;
        let started = self.started(&received)?;
        self.finished(started, progress).await?;
        self.purchased_number(number).await
    }

    /// Gives a number up.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn release_number(&self, number: &str, progress: Progress<'_>) -> Result<(), Error> {
        let received = self.send(&release(number)).await?;
        let started = self.started(&received)?;
        self.finished(started, progress).await.map(drop)
    }
}
