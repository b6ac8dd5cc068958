// Package account is the life of an account between its creation and its end:
// passwords, logins, tokens, devices, user-interactive authentication, third
// party identifiers, profile and account data.
//
// Holds: [Service], whose methods are what a person may do with an account;
// [UIA]; the token cache; the password hasher.
//
// May import: matrix, event, storage, ratelimit, mail, identity.
//
// Never: a request or an answer of HTTP; the mark of an ended account, which
// package deactivation alone writes.
package account
