// Package web serves pages for people with a browser: the fleet, each host, the rollouts,
// and what builds say. They only show. Whatever acts is done with the command line or the
// API, so that there is nothing that another site's page could have a browser do.
//
// A visitor signs in with the token of an operator. From then on a cookie names a session,
// which is in memory alone and holds the token: each page asks the API (package httpapi) as
// its bearer, so that what is allowed, counted and revoked there is so here.
//
// Pages need no JavaScript; with it (htmx, served from here) they follow what happens.
package web
