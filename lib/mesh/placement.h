/* How a mesh of the user's stands in the canonical cube: canonical = Ry(yaw) (x - center) * scale. Ry turns about +y by the right hand: it takes +z
 * towards +x. */
#ifndef CH4_MESH_PLACEMENT_H
#define CH4_MESH_PLACEMENT_H

typedef struct ch4_placement {
    double center[3], scale; /* scale > 0 */
    double yaw;              /* degrees */
} ch4_placement;

/* out may be in. */
void ch4_turn_about_y(double out[3], const double in[3], double yaw);

void ch4_place_point(double canonical[3], const ch4_placement *p, const double x[3]);
void ch4_unplace_point(double x[3], const ch4_placement *p, const double canonical[3]);
void ch4_unplace_offset(double dx[3], const ch4_placement *p, const double canonical[3]); /* a difference of two points */

#endif
