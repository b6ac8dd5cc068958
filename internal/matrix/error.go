package matrix

import (
	"errors"
	"fmt"
	"time"
)

// Code is an error code of the specification (`errcode` on the wire).
type Code string

// The error codes this server answers with (CS API, Standard error response,
// and the endpoints that name them).
const (
	CodeForbidden            Code = "M_FORBIDDEN"
	CodeUnknownToken         Code = "M_UNKNOWN_TOKEN"
	CodeMissingToken         Code = "M_MISSING_TOKEN"
	CodeUserLocked           Code = "M_USER_LOCKED"
	CodeUserSuspended        Code = "M_USER_SUSPENDED"
	CodeUserDeactivated      Code = "M_USER_DEACTIVATED"
	CodeBadJSON              Code = "M_BAD_JSON"
	CodeNotJSON              Code = "M_NOT_JSON"
	CodeNotFound             Code = "M_NOT_FOUND"
	CodeLimitExceeded        Code = "M_LIMIT_EXCEEDED"
	CodeUnrecognized         Code = "M_UNRECOGNIZED"
	CodeUnknown              Code = "M_UNKNOWN"
	CodeUnauthorized         Code = "M_UNAUTHORIZED"
	CodeUserInUse            Code = "M_USER_IN_USE"
	CodeInvalidUsername      Code = "M_INVALID_USERNAME"
	CodeInvalidParam         Code = "M_INVALID_PARAM"
	CodeMissingParam         Code = "M_MISSING_PARAM"
	CodeExclusive            Code = "M_EXCLUSIVE"
	CodeTooLarge             Code = "M_TOO_LARGE"
	CodeWeakPassword         Code = "M_WEAK_PASSWORD"
	CodeThreePIDInUse        Code = "M_THREEPID_IN_USE"
	CodeThreePIDNotFound     Code = "M_THREEPID_NOT_FOUND"
	CodeThreePIDAuthFailed   Code = "M_THREEPID_AUTH_FAILED"
	CodeThreePIDMedium       Code = "M_THREEPID_MEDIUM_NOT_SUPPORTED"
	CodeGuestAccessForbidden Code = "M_GUEST_ACCESS_FORBIDDEN"
	CodeProfileTooLarge      Code = "M_PROFILE_TOO_LARGE"
	CodeKeyTooLarge          Code = "M_KEY_TOO_LARGE"

	CodeUnsupportedRoomVersion  Code = "M_UNSUPPORTED_ROOM_VERSION"
	CodeIncompatibleRoomVersion Code = "M_INCOMPATIBLE_ROOM_VERSION"
	CodeInvalidRoomState        Code = "M_INVALID_ROOM_STATE"
	CodeRoomInUse               Code = "M_ROOM_IN_USE"
	CodeBadAlias                Code = "M_BAD_ALIAS"
	CodeBadState                Code = "M_BAD_STATE"
	CodeUnableToAuthorise       Code = "M_UNABLE_TO_AUTHORISE_JOIN"
	CodeUnableToGrantJoin       Code = "M_UNABLE_TO_GRANT_JOIN"
	CodeCannotLeaveNoticeRoom   Code = "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM"
	CodeInviteBlocked           Code = "M_INVITE_BLOCKED"
	CodeDuplicateAnnotation     Code = "M_DUPLICATE_ANNOTATION"
)

// Error is the one error type of this program: what the requester is told
// ([Error.Code], [Error.Message]) and what only the log is told (the wrapped
// cause). Packages below the API make it with [Errorf]; the API packages turn
// every other error into M_UNKNOWN with status 500 and log it.
type Error struct {
	Code Code
	// Message is a sentence for the person who sent the request. It names what
	// was wrong and holds no secret.
	Message string
	// Status is the HTTP status where it differs from the usual one of Code;
	// 0 is the usual one.
	Status int
	// RetryAfter goes with M_LIMIT_EXCEEDED.
	RetryAfter time.Duration
	// SoftLogout goes with M_UNKNOWN_TOKEN and M_USER_LOCKED (CS API, Soft
	// logout).
	SoftLogout bool

	cause error
}

// Errorf makes an [Error] with the given code and message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that wraps cause, which is logged and never sent.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// WithStatus returns a copy of e that is answered with the given HTTP status.
func (e *Error) WithStatus(status int) *Error {
	c := *e
	c.Status = status
	return &c
}

// Error is for the log: code, message and cause.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the code of the [Error] in err's chain, or "" if there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
