/* The version that every program of chain4d prints. */
#ifndef CH4_BASE_VERSION_H
#define CH4_BASE_VERSION_H

#define CH4_VERSION "0.1.0"

#endif
