// Package crash marks the places where a crash test kills the process.
//
// Holds: [Point], which does nothing in an ordinary build. Built with the tag
// `crashpoints` it counts the points it passes and ends the process with
// SIGKILL at the passing of one that a test names. The storage package has one before and one
// after every commit, the outbound and mail packages around every call to
// another host, so that the test knows all of them without a list.
//
// May import: the standard library.
//
// Never: anything of this program.
package crash
